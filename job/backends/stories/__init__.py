"""Stories: vectors of headlines from meaning, words and time, merged by average linkage over the neighbor graph."""
