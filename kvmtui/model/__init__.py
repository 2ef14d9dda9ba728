"""Pure values and arithmetic; standard library only."""
