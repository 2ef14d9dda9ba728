#!/bin/sh
# What udhcpc calls when it has got or lost a lease; it sets $interface, $ip, $mask and $router.
case $1 in
    bound | renew)
        ifconfig "$interface" "$ip" netmask "${subnet:-255.255.255.0}"
        [ -n "$router" ] && route add default gw "${router%% *}" 2>/dev/null
        ;;
    deconfig) ifconfig "$interface" 0.0.0.0 ;;
esac
exit 0
