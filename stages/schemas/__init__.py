"""What every file between two stages looks like, each declared once: tables, records and arrays. Imports no stage."""
