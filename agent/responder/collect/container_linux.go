package collect

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/agent/responder/collect/archive"
	"github.com/vedette-edr/vedette/agent/responder/collect/rootfs"
)

// containerID is how runtimes name a container in the path of its control group.
var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// containers lists what runs in containers, by what the kernel and the runtimes' own files
// say; no runtime is asked.
func (d *device) containers(t *Task, r *rootfs.Root) error {
	running := map[string][]string{}
	pids, err := d.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if id := containerID.FindString(string(d.read("proc/"+itoa(pid)+"/cgroup", 16<<10))); id != "" {
			running[id] = append(running[id], itoa(pid))
		}
	}
	tab, err := t.Table("Containers.csv", "Runtime", "Id", "Name", "Image", "Created", "Started", "State", "RestartPolicy", "Privileged", "NetworkMode", "Command", "Mounts", "Ports", "ProcessIds")
	if err != nil {
		return err
	}
	defer tab.end()
	known := map[string]bool{}
	row := func(c container) error {
		known[c.id] = true
		state := "not running"
		if len(running[c.id]) > 0 {
			state = "running"
		}
		return tab.Row(c.runtime, c.id, c.name, c.image, c.created, c.started, state, c.restart, c.privileged, c.network, c.command, c.mounts, c.ports, strings.Join(running[c.id], " "))
	}
	for _, p := range r.Glob("var/lib/docker/containers/*/config.v2.json", rootfs.NoLinks) {
		b, more, err := r.Read(p, rootfs.NoLinks, 8<<20)
		if err != nil || more {
			d.missed(t, p, err)
			continue
		}
		host, _, _ := r.Read(path.Dir(p)+"/hostconfig.json", rootfs.NoLinks, 8<<20) // without it the rest is told
		c, err := dockerContainer(b, host)
		if err != nil {
			t.Note(err, "/%s", p)
			continue
		}
		if err := row(c); err != nil {
			return err
		}
	}
	lists := r.Glob("var/lib/containers/storage/overlay-containers/containers.json", rootfs.NoLinks)
	for _, h := range d.homes(t, r) {
		lists = append(lists, r.Glob(h.dir+"/.local/share/containers/storage/overlay-containers/containers.json", rootfs.NoLinks)...)
	}
	for _, p := range lists {
		b, _, err := r.Read(p, rootfs.NoLinks, 8<<20)
		if err != nil {
			d.missed(t, p, err)
			continue
		}
		list, err := podmanContainers(b)
		if err != nil {
			t.Note(err, "/%s", p)
		}
		for _, c := range list {
			if err := row(c); err != nil {
				return err
			}
		}
	}
	for _, p := range slices.Concat(r.Glob("run/containerd/io.containerd.runtime.v2.task/*/*", rootfs.NoLinks), r.Glob("var/lib/lxc/*/config", rootfs.NoLinks), r.Glob("var/lib/machines/*", rootfs.NoLinks)) {
		c := container{runtime: "containerd " + path.Base(path.Dir(p)), id: path.Base(p)}
		switch {
		case strings.HasPrefix(p, "var/lib/lxc/"):
			c = container{runtime: "lxc", id: path.Base(path.Dir(p))}
		case strings.HasPrefix(p, "var/lib/machines/"):
			c.runtime = "systemd-nspawn"
		}
		if !known[c.id] {
			if err := row(c); err != nil {
				return err
			}
		}
	}
	for id := range running {
		if !known[id] {
			if err := row(container{runtime: "not known", id: id}); err != nil {
				return err
			}
		}
	}
	if tab.Rows() == 0 {
		tab.file.Drop()
		t.forget(tab.file)
		return ErrAbsent
	}
	return tab.Close()
}

// forget takes a file that was dropped out of the task's count.
func (t *Task) forget(*File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.files--
}

type container struct {
	runtime, id, name, image, created, started, restart, privileged, network, command, mounts, ports string
}

// dockerContainer reads what Docker keeps of a container. Its environment is not told.
func dockerContainer(config, host []byte) (container, error) {
	var v struct {
		ID, Name, Path string
		Args           []string
		Created        time.Time
		State          struct{ StartedAt time.Time }
		Config         struct{ Image string }
		MountPoints    map[string]struct {
			Source, Destination string
			RW                  bool
		}
	}
	if err := json.Unmarshal(config, &v); err != nil {
		return container{}, err
	}
	var h struct {
		Privileged    bool
		NetworkMode   string
		PidMode       string
		CapAdd        []string
		RestartPolicy struct{ Name string }
		PortBindings  map[string][]struct{ HostIp, HostPort string }
	}
	if len(host) > 0 {
		if err := json.Unmarshal(host, &h); err != nil {
			return container{}, err
		}
	}
	c := container{runtime: "docker", id: v.ID, name: strings.TrimPrefix(v.Name, "/"), image: v.Config.Image, created: when(v.Created), restart: h.RestartPolicy.Name,
		network: h.NetworkMode, command: strings.Join(append([]string{v.Path}, v.Args...), " ")}
	if v.State.StartedAt.Year() > 1 {
		c.started = when(v.State.StartedAt)
	}
	var marks []string
	if h.Privileged {
		marks = append(marks, "privileged")
	}
	if h.PidMode == "host" {
		marks = append(marks, "the device's processes")
	}
	c.privileged = strings.Join(append(marks, h.CapAdd...), " ")
	var mounts, ports []string
	for _, m := range v.MountPoints {
		mode := "ro"
		if m.RW {
			mode = "rw"
		}
		mounts = append(mounts, m.Source+":"+m.Destination+":"+mode)
	}
	for inner, outer := range h.PortBindings {
		for _, o := range outer {
			ports = append(ports, o.HostIp+":"+o.HostPort+"->"+inner)
		}
	}
	slices.Sort(mounts)
	slices.Sort(ports)
	c.mounts, c.ports = strings.Join(mounts, " "), strings.Join(ports, " ")
	return c, nil
}

func podmanContainers(raw []byte) ([]container, error) {
	var list []struct {
		ID       string
		Names    []string
		Image    string
		Created  time.Time
		Metadata string
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	var out []container
	for _, v := range list {
		var meta struct {
			Image string `json:"image-name"`
			Name  string `json:"name"`
		}
		_ = json.Unmarshal([]byte(v.Metadata), &meta) // it is for podman; without it the ids are told
		c := container{runtime: "podman", id: v.ID, name: strings.Join(v.Names, " "), image: v.Image, created: when(v.Created)}
		if meta.Image != "" {
			c.image = meta.Image
		}
		out = append(out, c)
	}
	return out, nil
}

// programsInstalled lists what package managers say is installed.
func (d *device) programsInstalled(t *Task) error {
	list, problems := d.Software.Collect()
	for _, p := range problems {
		t.Note(nil, "%s", p)
	}
	if len(list) == 0 && len(problems) == 0 {
		return ErrAbsent
	}
	tab, err := t.Table("InstalledPrograms.csv", "Manager", "Name", "Version", "Architecture", "Source", "SourceVersion", "Vendor", "Release", "Installed", "Programs")
	if err != nil {
		return err
	}
	defer tab.end()
	for _, p := range list {
		at := ""
		if p.Installed > 0 {
			at = when(time.Unix(p.Installed, 0))
		}
		if err := tab.Row(p.Kind, p.Name, p.Version, p.Arch, p.Source, p.SourceVersion, p.Vendor, p.Release, at, strings.Join(p.Paths, " ")); err != nil {
			return err
		}
	}
	return tab.Close()
}

// agentState says how the agent itself does.
func (d *device) agentState(t *Task) error {
	if d.Agent == nil {
		return ErrAbsent
	}
	raw, err := json.MarshalIndent(d.Agent(), "", " ")
	if err != nil {
		return err
	}
	f, err := t.Create("Agent.json", archive.Info{Source: "the agent"})
	if err != nil {
		return err
	}
	defer f.end()
	if _, err := f.Write(append(raw, '\n')); err != nil {
		return err
	}
	return f.Close()
}

// certificates copies the certificates that were added to the system's.
func (d *device) certificates(t *Task, r *rootfs.Root) error {
	if err := d.copyAll(t, r, copying{links: rootfs.FollowLinks, most: small, clean: publicOnly}, "usr/local/share/ca-certificates/**", "etc/pki/ca-trust/source/anchors/*", "etc/ca-certificates.conf", "etc/ssl/openssl.cnf"); err != nil {
		return err
	}
	t.mu.Lock()
	none := t.files == 0
	t.mu.Unlock()
	if none {
		return ErrAbsent
	}
	return nil
}

// publicOnly leaves a file out that has a private key.
func publicOnly(b []byte) []byte {
	if private("", b) {
		return []byte("(left out: a private key)\n")
	}
	return b
}
