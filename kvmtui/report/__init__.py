"""The headless faces: what the screen shows, for pipes and scripts."""
