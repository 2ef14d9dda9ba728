"""Everything that talks to hosts: libvirt, psutil, /proc and the demo hosts."""
