"""What alertlog costs, beside what does the same work, in one run: `python -m tests.benchmarks`.

It prints tables and asserts nothing: how long a thing takes depends on the machine, ratios within a run far
less. The peers come with the extra `bench`; one that is not installed is named and left out.
"""
