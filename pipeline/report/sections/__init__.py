"""The page's sections, one file each, with its templates beside it.

Each has `section(findings)`, which returns None where there is nothing to show. page.py has their
order.
"""
