# What people and services do on a server on an ordinary day. It runs as root in a mount
# namespace whose /etc, /usr, /var, /root, /home, /opt and /run are copies that nobody else
# sees. $1 is a directory to work in, $2 the address of a web server of the test, $3 a port.
set -eu
work=$1 url=$2 port=$3
export HOME=/root DEBIAN_FRONTEND=noninteractive
step() { echo "== $*"; }

step a user is made, and a group
useradd --create-home --home-dir /home/ann --shell /bin/bash ann
echo 'ann:correct horse' | chpasswd
groupadd editors
usermod -aG editors ann
chage -l ann >/dev/null

step a package with a service, a cron job and a script is built, installed, upgraded and removed
for v in 1 2; do
	p=$work/pkg$v
	mkdir -p $p/DEBIAN $p/lib/systemd/system $p/etc/cron.d $p/etc/modules-load.d $p/usr/bin $p/etc/logrotate.d
	printf 'Package: daytool\nVersion: %s\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: a tool\n' $v > $p/DEBIAN/control
	printf '#!/bin/sh\nset -e\nldconfig\nid daytool >/dev/null 2>&1 || useradd --system daytool\n' > $p/DEBIAN/postinst
	printf '#!/bin/sh\ntrue %s\n' $v > $p/usr/bin/daytool
	chmod 755 $p/DEBIAN/postinst $p/usr/bin/daytool
	printf '[Service]\nExecStart=/usr/bin/daytool\n' > $p/lib/systemd/system/daytool.service
	printf '17 3 * * * root /usr/bin/daytool\n' > $p/etc/cron.d/daytool
	printf 'loop\n' > $p/etc/modules-load.d/daytool.conf
	dpkg-deb --build $p $work/daytool_$v.deb
done
dpkg -i $work/daytool_1.deb
apt-get -o APT::Sandbox::User=root -y install $work/daytool_2.deb
daytool
apt-get -y purge daytool
dpkg -l | tail -n 3
ldd /bin/ls

step a program is configured, compiled, tested and installed
mkdir $work/src
cd $work/src
printf '#!/bin/sh\nuname -s; uname -m; hostname; id -u\necho "int main(){return 0;}" > conftest.c\ngcc -o conftest conftest.c && ./conftest && rm conftest conftest.c\n' > configure
printf 'all: tool\ntool: a.o b.o\n\tgcc -o tool a.o b.o\ncheck: tool\n\t./tool\ninstall: tool\n\tinstall -m 755 tool /usr/local/bin/daily-tool\n' > Makefile
printf '#include <stdio.h>\nint f(int);\nint main(void){printf("%%d\\n",f(20));return 0;}\n' > a.c
printf 'int f(int n){return n<2?n:f(n-1)+f(n-2);}\n' > b.c
sh ./configure
make
make check
make install
daily-tool

step a program in Go is built and run
mkdir $work/go
cd $work/go
printf 'module example.org/day\n' > go.mod
printf 'package main\n\nfunc main() { println("hello") }\n' > main.go
go build -o day .
./day
go run .

step work with git
cd $work/src
git init -q .
git config user.email ann@example.org
git config user.name Ann
git add .
git commit -qm first
git checkout -qb feature
sed -i s/20/21/ a.c
git commit -qam second
git checkout -q -
git merge -q feature
git clone -q $work/src $work/clone
git log --stat >/dev/null
git gc -q

step documents are written and edited
mkdir -p /home/ann/docs
for i in 1 2 3 4 5 6 7 8 9 10; do echo "report $i" > /home/ann/docs/report$i.txt; done
vim -u NONE -N -es -c '%s/report/Report/' -c 'wq' /home/ann/docs/report1.txt
vim -u NONE -N -es -c 'normal onew line' -c 'wq' /etc/hosts
sed -i 's/2/two/' /home/ann/docs/report2.txt
cp /home/ann/docs/report3.txt /home/ann/docs/report3.txt.bak
for i in 4 5 6; do mv /home/ann/docs/report$i.txt /home/ann/docs/report$i.txt.old; done
chown -R ann: /home/ann

step backups
tar czf $work/etc.tar.gz -C / etc
tar xzf $work/etc.tar.gz -C $work
mkdir -p $work/photos $work/mirror
i=0
while [ $i -lt 120 ]; do echo $i > $work/photos/p$i.jpg; i=$((i + 1)); done
rsync -a $work/photos/ $work/mirror/
for f in $work/photos/p11*.jpg; do echo more >> $f; done
rsync -a --inplace $work/photos/ $work/mirror/
cp -a $work/photos/. $work/mirror/
rsync -a /home/ $work/home/

step logs are written and rotated
for l in auth.log syslog app.log; do seq 2000 > /var/log/$l; done
printf '/var/log/auth.log /var/log/syslog /var/log/app.log {\n rotate 2\n compress\n missingok\n create 0640 root adm\n su root root\n}\n' > $work/rotate.conf
logrotate -f -s $work/rotate.state $work/rotate.conf
logrotate -f -s $work/rotate.state $work/rotate.conf
echo line >> /var/log/app.log

step an administrator looks around
uptime
df -h >/dev/null
ps ax >/dev/null
ss -tln >/dev/null
who
last -n 3 || true
grep -rl daily /etc/cron.d /etc/default 2>/dev/null || true
find / -xdev -name '*.conf' -newermt 2020-01-01 -size +1M 2>/dev/null || true
find /home -type f -exec sha256sum {} + >/dev/null
du -sh /home >/dev/null

step something is downloaded and unpacked
cd $work
curl -s -o src.tar.gz $url/src.tar.gz
mkdir unpacked
tar xzf src.tar.gz -C unpacked
curl -s $url/status | grep -q . && sh -c 'true'

step a script in python and one in perl
python3 -c 'import json, subprocess, sys; subprocess.run("df -h | wc -l", shell=True, check=True); json.dump({}, sys.stdout)'
perl -e 'use Socket; socket(S, PF_INET, SOCK_STREAM, 6); connect(S, sockaddr_in($ARGV[0], inet_aton("127.0.0.1"))); system("sh -c true; true")' ${url##*:}

step a session by ssh, a mistyped password before, files copied
mkdir -p /run/sshd $work/ssh
ssh-keygen -q -t ed25519 -N '' -f $work/ssh/host
ssh-keygen -q -t ed25519 -N '' -f $work/ssh/id_ed25519
install -D -m 644 $work/ssh/id_ed25519.pub /etc/ssh/keys/ann
cat > $work/ssh/config <<EOF
ListenAddress 127.0.0.1:$port
HostKey $work/ssh/host
PidFile none
UsePAM yes
AllowUsers ann
AuthorizedKeysFile /etc/ssh/keys/%u
PasswordAuthentication yes
StrictModes no
Subsystem sftp internal-sftp
EOF
/usr/sbin/sshd -D -e -f $work/ssh/config >$work/ssh/log 2>&1 &
sshd=$!
trap 'kill $sshd' EXIT
until (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; do sleep 0.1; done
options="-F none -i $work/ssh/id_ed25519 -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
printf '#!/bin/sh\necho wrong\n' > $work/ssh/ask
chmod 755 $work/ssh/ask
SSH_ASKPASS=$work/ssh/ask SSH_ASKPASS_REQUIRE=force setsid ssh $options -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=2 -p $port ann@127.0.0.1 true >$work/ssh/denied 2>&1 && exit 9
options="$options -o BatchMode=yes"
ssh $options -p $port ann@127.0.0.1 'id; ls -la; cat docs/report1.txt' || { cat $work/ssh/log; exit 7; }
printf 'cd docs\nls\necho note >> note.txt\nexit\n' | ssh -tt $options -p $port ann@127.0.0.1 >/dev/null 2>&1
scp $options -P $port $work/src/a.c ann@127.0.0.1:a.c 2>/dev/null
trap - EXIT
kill $sshd
su - ann -c 'id -un; echo done >> notes'

step a job of cron
mkdir -p /var/spool/cron/crontabs
# crontab tells an edit by the second of the file's time.
printf '#!/bin/sh\nsleep 1.1\necho "* * * * * /usr/local/bin/daily-tool > %s/cron.out" > "$1"\n' $work > $work/editor
chmod 755 $work/editor
EDITOR=$work/editor crontab -e
crontab -l
cron -f >$work/cron.log 2>&1 &
cron=$!
trap 'kill $cron' EXIT
i=0
until [ -s $work/cron.out ]; do
	i=$((i + 1))
	[ $i -lt 900 ] || { echo "cron did not run the job"; exit 8; }
	sleep 0.1
done
trap - EXIT
kill $cron

step the user goes
userdel --remove ann 2>/dev/null || true
