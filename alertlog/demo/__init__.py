"""The sample user of the library, a small portfolio ETL, and the show that runs it.

The ETL is `portfolio_etl.py` with `holdings.csv`, `prices.py`, `quota.py` and `store.py`. It logs with the
standard library and knows of nothing else: that its critical records become mails is `logging.yaml`'s doing.
`price_api.py` is the service that it asks; `show.py` and `timed_etl.py` are `alertlog demo`.
"""
