"""Drift of large tables, beside Evidently and NumPy alone; alarms where there is no drift; a year of flights."""
