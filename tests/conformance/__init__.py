"""The console's emulator compared with tmux, on recorded output of real programs."""
