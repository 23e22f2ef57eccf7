"""What happens to an item between its import and its acceptance.

In the order of an item's way: `queue` hands it out, `leases` keeps it reserved, `item_views` shows it, `pointing` takes
the answer of the blind pass, `verdict` checks the decision, `submission` stores it, `protocol` derives the state of the
item, `items` settles it. `gold` has the items with a known answer, `undoing` takes decisions back.
"""
