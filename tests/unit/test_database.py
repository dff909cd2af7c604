"""SQLite under gevent: waiting for the write lock must not stop the request that holds it."""

import subprocess
import sys
import textwrap

SCRIPT = """
    from gevent import monkey
    monkey.patch_all()
    import sys
    import gevent
    from flask import Flask
    from sqlalchemy import text
    from pathlib import Path
    from app import database
    from app.extensions import db

    path = Path(sys.argv[1])
    app = Flask("t")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{path}"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = database.engine_options("sqlite://")
    db.init_app(app)
    with app.app_context():
        database.prepare(db.engine, path)
        with database.transaction() as session:
            session.execute(text("CREATE TABLE t (n INTEGER)"))

    def write(n):
        with app.app_context(), database.transaction() as session:
            session.execute(text("INSERT INTO t VALUES (:n)"), {"n": n})
            gevent.sleep(0.05)

    with gevent.Timeout(20):
        gevent.joinall([gevent.spawn(write, n) for n in range(5)], raise_error=True)
    with app.app_context():
        print(db.session.execute(text("SELECT count(*) FROM t")).scalar())
"""


def test_greenlets_of_one_process_take_turns_at_the_write_lock(tmp_path):
    script = textwrap.dedent(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.sqlite3")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "5", done.stderr
