"""Compiled loops of the audio front end."""
