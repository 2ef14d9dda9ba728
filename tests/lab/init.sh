#!/bin/busybox sh
# The first process of every guest: brings up the machine, plays its role, and keeps a shell on the serial line.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TERM=linux
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts && mount -t devpts devpts /dev/pts
while read -r module; do insmod "/modules/$module"; done </modules/order

role=idle name=guest
for word in $(cat /proc/cmdline); do
    case $word in
        lab.role=*) role=${word#lab.role=} ;;
        lab.name=*) name=${word#lab.name=} ;;
    esac
done
hostname "$name"
printf 'export PS1="%s:\\w# "\n' "$name" >/etc/profile

# The power button. QEMU's ACPI event is all that `virsh shutdown` sends; any byte from the button means it.
for button in /sys/class/input/event*; do
    if [ "$(cat "$button/device/name")" = "Power Button" ]; then
        (head -c 1 "/dev/input/${button##*/}" >/dev/null && poweroff -f) &
    fi
done

ifconfig lo up
if [ -e /sys/class/net/eth0 ]; then
    ifconfig eth0 up
    # Retries for ever in the background of its own accord, so a host without a network does not hold the boot.
    udhcpc -i eth0 -b -S -t 5 -T 1 -A 5 -s /bin/dhcp-script -x "hostname:$name" >/dev/null 2>&1
fi

# Hundredths of a second since boot, in $now, without starting a process.
clock() { read -r now _ </proc/uptime; now=${now%.*}${now#*.}; }

# Keeps one CPU busy for $1 hundredths of a second.
spin() {
    clock; end=$((now + $1))
    while [ "$now" -lt "$end" ]; do clock; done
}

cpu_waves() {
    while :; do
        for share in 2 5 10 20 40 60 40 20 10 5 2 0 0 0 0 0; do
            spin "$share"; usleep $(((100 - share) * 10000))
            spin "$share"; usleep $(((100 - share) * 10000))
        done
    done
}

disk_waves() {
    while :; do
        for blocks in 2 2 4 4 8 8 8 16 16 16 16 32 32 32 32 16 16 16 8 8 4 4 2 2 0 0 0 0 0 0 0 0; do
            # Always the same 32 MiB, so that the disk's file stops growing.
            at=$((($(date +%s) % 8) * 64))
            dd if=/dev/zero of=/dev/vda bs=64k seek=$at count=$blocks conv=notrunc,fsync 2>/dev/null
            echo 1 >/proc/sys/vm/drop_caches
            dd if=/dev/vda of=/dev/null bs=64k skip=$at count=$((blocks / 2)) 2>/dev/null
            usleep 450000
        done
    done
}

net_waves() {
    while :; do
        for packets in 1 2 3 4 6 8 12 16 20 25 30 25 20 25 30 20 12 8 4 2 1 1 0 0 0 0 0 0; do
            gateway=$(ip route | sed -n 's/^default via \([0-9.]*\).*/\1/p')
            [ -n "$gateway" ] && [ "$packets" -gt 0 ] &&
                ping -q -A -c "$packets" -w 2 -s 1400 "$gateway" >/dev/null 2>&1
            usleep 450000
        done
    done
}

case $role in
    busy) yes >/dev/null & ;;
    cpu) cpu_waves & ;;
    disk) disk_waves & ;;
    net) net_waves & ;;
esac

address=$(ip -4 -o addr show dev eth0 2>/dev/null | sed 's/.*inet \([0-9.]*\).*/\1/')
read -r seconds _ </proc/uptime
# On a line of its own: after a reset the last one still shows the old prompt.
printf '\nlab: %s ready %s after %s s\n' "$name" "${address:-without an address}" "$seconds" >/dev/ttyS0
while :; do setsid -c sh -l </dev/ttyS0 >/dev/ttyS0 2>&1; done
