"""Zegelpost: secure document exchange with people outside the organisation."""
