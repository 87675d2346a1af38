"""Pages for a reader: `map` writes map.html, one offline file with every headline as a point.

`points` is what a map is made of, `plain` makes untrusted text harmless, `payload` packs both into a few strings, and
`document` puts them with the JavaScript and CSS of `static/` into one HTML document that may not ask for anything.

Headlines are untrusted text. The page gets them as packed data, never as markup, and its scripts show them with
`textContent` alone.
"""
