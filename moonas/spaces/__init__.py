"""Search spaces: genes, genotypes of cells and graphs of architectures."""
