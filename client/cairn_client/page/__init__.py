"""The clinic's page: what its own people see and decide in a browser on the same machine.

    serving     listens on loopback, prints the link that opens it
    guard       what every request has to pass, and what every reply carries
    entry       links that open the page, each once
    sessions    who has opened it, and for how long
    site        the keeper, the templates, one page of the answer
    routes_*    the pages

The page is a client of the keeper's admin.sock, as the commands are: it holds no key and opens no
file of records.
"""
