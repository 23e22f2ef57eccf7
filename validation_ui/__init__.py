"""The validation app, in which people decide which expressions of an annotation run belong in the benchmark split.

The folders follow what a person does: `importing` turns a run into items, `people` are those who may judge them,
`judging` hands items out and settles them, `statistics` tells how far and how well, `exporting` writes the split, and
`web` is the HTTP side. What all share is here: `schema` (the tables), `settings`, `database`, `audit`, `problem`.
"""
