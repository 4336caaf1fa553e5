"""Years of alerts in seconds: random scenarios in virtual time, and what must hold after each step of every one.

The processes, their journals and their outbox are real; the clock and the mail server are virtual. To run many:

    python -m tests.simulation --scenarios 5000 --seed 1
"""
