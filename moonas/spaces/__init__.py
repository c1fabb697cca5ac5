"""Search spaces: genes, genotypes of cells, graphs of architectures."""
