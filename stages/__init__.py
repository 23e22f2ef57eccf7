"""The stages of the annotation, one file each, named as in the column `stage` of a row; base.py has their contract."""
