"""The clinic's side: readers, the keeper and its one door, the link to Flower."""
