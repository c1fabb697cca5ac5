"""Building blocks of search spaces: genes, cell genotypes and architecture graphs."""
