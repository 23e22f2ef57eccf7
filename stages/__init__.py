"""The steps of the annotation, one file each; see base.py for the contract."""
