"""Sessions of customers; the oldest go first."""
from collections import OrderedDict

MOST = 20_000
SESSIONS = OrderedDict()


def of(request):
    token = request.cookies.get("session") or new_token()
    session = SESSIONS.get(token)
    if session is None:
        session = SESSIONS[token] = Session(token, cart=[], seen=[])
        while len(SESSIONS) > MOST:
            SESSIONS.popitem(last=False)
    return session
