#!/usr/bin/env bash
# Debian in a virtual machine, for what cannot be tried on the machine that runs the tests:
# other kernels and reboots. Emulated, so it needs no KVM and takes its time.
#
#   vm.sh image SUITE        bin/vm/SUITE: a Debian 12 disk image with the kernel of SUITE (bookworm
#                            6.1, trixie 6.12), that kernel, and an initial file system; made once
#   vm.sh test SUITE PKG...  runs the tests of packages as root on that kernel
#
# QEMU and CPU are the emulator and what it emulates. Linux 6.12 wants QEMU 10, with CPU=max.
#
# In the machine a tar archive on its second disk is unpacked to /vm, and /vm/run is started if
# it is there, else a shell on the second serial line.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin
mirror=${MIRROR:-http://deb.debian.org/debian}
include=systemd-sysv,udev,dbus,kmod,iproute2,nftables,curl,procps,login,busybox-static,ca-certificates,bsdutils,perl-base

need() {
	local missing=()
	for c in mmdebstrap "${QEMU:-qemu-system-x86_64}" mke2fs cpio xz; do
		command -v $c >/dev/null || missing+=($c)
	done
	[ ${#missing[@]} -eq 0 ] && return
	echo "Please install what has these: ${missing[*]} (mmdebstrap qemu-system-x86 e2fsprogs cpio xz-utils)" >&2
	exit 1
}

image() {
	local suite=$1 dir=bin/vm/$1 work
	[ -e "$dir/done" ] && [ "$dir/done" -nt tools/vm.sh ] && return
	need
	mkdir -p "$dir"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' RETURN
	mkdir "$work/root" "$work/kernel" "$work/initrd"
	echo "Fetching Debian 12"
	mmdebstrap --quiet --variant=minbase --include=$include bookworm - "$mirror" | tar -C "$work/root" -x
	echo "Fetching the kernel of $suite"
	mmdebstrap --quiet --variant=extract --include=linux-image-cloud-amd64 "$suite" - "$mirror" |
		tar -C "$work/kernel" -x --wildcards './boot/vmlinuz-*' './lib/modules' './usr/lib/modules' 2>/dev/null || true
	cp "$work"/kernel/boot/vmlinuz-* "$dir/vmlinuz"
	local modules
	modules=$(find "$work/kernel" -maxdepth 4 -path '*lib/modules/*' -type d | head -1)
	mkdir -p "$work/root/lib/modules"
	mv "$modules" "$work/root/lib/modules/"
	chroot "$work/root" depmod "$(basename "$modules")"
	setup "$work/root"
	initrd "$work" "$dir"
	rm -f "$dir/disk"
	truncate -s 2G "$dir/disk"
	mke2fs -q -t ext4 -d "$work/root" "$dir/disk"
	touch "$dir/done"
}

# setup has the machine start what the second disk brings; no script of ours does, because a
# restricted device would not run it. Names of network devices are the
# kernel's own; there is one, and its address is what QEMU's user network gives.
setup() {
	local root=$1 units=$1/etc/systemd/system
	mkdir -p "$root/vm"
	cat > "$units/vm-main.service" <<-'EOF'
		[Unit]
		Description=What the second disk brings
		After=systemd-networkd.service
		[Service]
		Environment=HOME=/root PS1= PS2= PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		ExecStart=/bin/sh -c 'stty raw -echo; [ -e /vm/unpacked ] || { tar -C /vm -xf /dev/vdb && touch /vm/unpacked; }; [ -x /vm/run ] && { /vm/run; sync; poweroff -f; }; exec /bin/sh'
		StandardInput=tty-force
		StandardOutput=tty
		StandardError=tty
		TTYPath=/dev/ttyS1
		KillMode=process
		[Install]
		WantedBy=multi-user.target
	EOF
	cat > "$root/etc/systemd/network/eth.network" <<-'EOF'
		[Match]
		Name=e*
		[Network]
		Address=10.0.2.15/24
		Gateway=10.0.2.2
	EOF
	mkdir -p "$units/multi-user.target.wants"
	ln -sf ../vm-main.service "$units/multi-user.target.wants/vm-main.service"
	ln -sf /lib/systemd/system/systemd-networkd.service "$units/multi-user.target.wants/systemd-networkd.service"
	for u in getty.target serial-getty@ttyS0.service serial-getty@ttyS1.service apt-daily.timer apt-daily-upgrade.timer; do
		ln -sf /dev/null "$units/$u"
	done
	echo "/dev/vda / ext4 rw 0 1" > "$root/etc/fstab"
	echo vm > "$root/etc/hostname"
}

# initrd holds the drivers of the disk, which Debian builds as modules, in whichever order.
initrd() {
	local work=$1 dir=$2 in=$1/initrd m f
	mkdir -p "$in"/{bin,m,proc,sys,dev,root}
	cp "$work/root/bin/busybox" "$in/bin/"
	for m in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk; do
		f=$(find "$work/root/lib/modules" -name "$m.ko*" | head -1)
		case $f in
		*.xz) xz -dc "$f" > "$in/m/$m.ko" ;;
		*.ko) cp "$f" "$in/m/" ;;
		esac
	done
	cat > "$in/init" <<-'EOF'
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
		for round in 1 2 3; do for f in /m/*.ko; do insmod $f 2>/dev/null; done; done
		n=0; while [ ! -b /dev/vda ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
		mount -t ext4 /dev/vda /root
		mount --move /dev /root/dev
		umount /proc; umount /sys
		exec switch_root /root /sbin/init
	EOF
	chmod 755 "$in/init"
	(cd "$in" && find . | cpio -o -H newc --quiet | gzip -1) > "$dir/initrd"
}

# Nehalem: what newer processors have, QEMU 7.2 emulates in a way that crashes Linux 6.12.
tests() {
	local suite=$1 dir=bin/vm/$1 work p
	shift
	image "$suite"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' RETURN
	mkdir "$work/in"
	for p in "$@"; do
		CGO_ENABLED=0 go test -c -o "$work/in/$(echo "${p#./}" | tr / -).test" "./${p#./}"
	done
	cat > "$work/in/run" <<-'EOF'
		#!/bin/sh
		cd /vm; mkdir -p w; uname -srv
		for t in *.test; do echo "=== $t"; (cd w; ../$t -test.v -test.timeout 20m 2>&1 | grep -E '^ *--- |^(ok|FAIL|PASS|panic)|_test.go:'); done
		echo "=== end"
	EOF
	chmod 755 "$work/in/run"
	tar -C "$work/in" -cf "$work/in.tar" .
	cp --sparse=always "$dir/disk" "$work/disk"
	timeout "${VM_TIMEOUT:-3600}" "${QEMU:-qemu-system-x86_64}" -nodefaults -display none -no-reboot -m 2048 -smp 1 -cpu "${CPU:-Nehalem}" \
		-kernel "$dir/vmlinuz" -initrd "$dir/initrd" -append "console=ttyS0 panic=-1 quiet systemd.show_status=0 net.ifnames=0" \
		-serial file:"$dir/console.log" -serial file:"$dir/test.log" \
		-drive file="$work/disk",if=virtio,format=raw,cache=unsafe -drive file="$work/in.tar",if=virtio,format=raw,readonly=on </dev/null
	cat "$dir/test.log"
	grep -q '^=== end' "$dir/test.log" && ! grep -qE '^(FAIL|panic)' "$dir/test.log"
}

case "${1:-}" in
image) image "${2:?suite}" ;;
test) shift; tests "$@" ;;
*) sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
