"""Words of the headlines, in any language: `keywords` finds the keywords of each cluster by class-based TF-IDF."""
