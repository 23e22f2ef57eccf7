"""From an annotation run to training examples: read, checked, sampled, decoded, reduced."""
