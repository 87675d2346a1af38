"""Words of the headlines, in any language, and names made of them.

terms         the terms of one headline: words by their stems, repeated runs of characters where no spaces stand
title_terms   the terms of all headlines, as arrays
keywords      the keywords of each cluster, by class-based TF-IDF
phrases       names of themes
names         names of clusters
"""
