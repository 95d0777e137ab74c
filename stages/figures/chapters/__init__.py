"""The chapters of the report: each module lists its figures, tables and words."""
