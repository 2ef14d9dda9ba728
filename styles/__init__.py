"""The style sheets of the dashboard (TCSS)."""
