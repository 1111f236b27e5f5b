"""What stands between an attack and a model: another problem, or another way to be asked.

An attack sees an `Oracle`, whatever it is; none of them knows of a view.
"""
