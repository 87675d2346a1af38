"""Names from a language model behind an API like OpenAI's.

client   one question: its form, tries, waits, and what went wrong
prompt   what is asked, and reading the answer
check    whether a name may stand: its words must be its own titles'
cache    answers on disk
"""
