"""Words of the headlines, in any language, and names made of them.

function_words  articles, pronouns, prepositions and the like, by language
stop_words      words that are no terms, in every language or in titles of one
terms           the terms of one headline: words by their stems, repeated runs of characters where no spaces stand
title_terms     the terms of all headlines, as arrays
keywords        the keywords of each cluster, by class-based TF-IDF
phrases         names of themes
tails           outlets' names at the ends of titles
ends            ellipses, and where a title that is too long may end
mojibake        titles that were read in the wrong encoding
names           names of clusters
"""
