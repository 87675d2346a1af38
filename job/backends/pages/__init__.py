"""Pages for a reader: `map` writes map.html, one offline file by Plotly with every headline as a point.

Headlines are untrusted text: a page escapes them, so that they cannot add a tag, an attribute or a script.
"""
