"""`python -m alertlog` is the command `alertlog`."""

from alertlog.cli import main

main(prog_name="alertlog")
