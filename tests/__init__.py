"""The tests of alertlog; `python -m pytest` from the folder above runs them all."""
