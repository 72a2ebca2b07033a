"""Those whom we are measured beside: their servers, and the nginx before them, which is the same for all.

Each runs the way its users run it. nginx's settings for the answering programs are `NGINX`; the C peer of a statement
stands behind the instance's own nginx.conf with nothing changed but the socket.
"""
import functools
import glob
import os
import re
import subprocess
import sys
from urllib.parse import unquote, urlsplit

from measuring.environment import ROOT, free_port
from measuring.statements import BARE_IN_C, IN_C
from measuring.workspace import answers_http, compiler, listening, wait_until

WORKERS = 4
# Connections to a program that a worker of nginx keeps, where it keeps any: more than the load has.
KEPT = 32
# What its manual recommends: twice the processors and one.
FLASK_WORKERS = 2 * (os.cpu_count() or 1) + 1
PACKAGES = {
    "limits": "nginx libfcgi0ldbl postgresql-15 libpq5 wrk",
    "PHP-FPM": "php8.2-fpm php8.2-opcache",
    "librabbitmq": "librabbitmq4 rabbitmq-server",
    "Flask": "python3-flask python3-sqlalchemy python3-psycopg2 gunicorn",
}

# The parameters are those that our gateway sends, and what PHP needs besides.
NGINX = """
worker_processes auto; pid {folder}/nginx-{port}.pid; error_log {folder}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {folder}/body; fastcgi_temp_path {folder}/fastcgi;
    proxy_temp_path {folder}/proxy; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        fastcgi_keep_conn off; fastcgi_next_upstream off;
        fastcgi_param REQUEST_METHOD $request_method; fastcgi_param REQUEST_URI $request_uri;
        fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;
        fastcgi_param REMOTE_ADDR $remote_addr; fastcgi_param SERVER_PROTOCOL $server_protocol;
        fastcgi_param REQUEST_START $msec; fastcgi_param HTTP_X_REQUEST_ID $request_id;
        {location}
    }}
}}
"""
PHP_FPM = """
[global]
error_log = {folder}/php-fpm.log
daemonize = no
[www]
{user}
listen = {folder}/php.sock
listen.mode = 0666
listen.backlog = 511
pm = static
pm.max_children = {workers}
"""


def versions():
    """A line for each peer, and what is missing."""
    compiled_by = subprocess.run([compiler(), "--version"], check=True, capture_output=True, text=True).stdout
    lines = ["C: " + compiled_by.split("\n")[0]]
    for peer, packages in PACKAGES.items():
        found = [(name, installed(name)) for name in packages.split()]
        lines.append("%s: %s" % (peer, ", ".join("%s %s" % (name, version or "is missing") for name, version in found)))
    return lines


def installed(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package], capture_output=True,
                          text=True)
    state, _, version = done.stdout.partition(" ")
    return version if state == "installed" else None


def missing(peer):
    """Why a peer cannot be measured; None when it can."""
    packages = [name for name in PACKAGES[peer].split() if not installed(name)]
    return "%s not installed; run scripts/install-packages --bench" % " ".join(packages) if packages else None


def behind_nginx(workspace, location):
    """Starts an nginx with one location block; gives its base URL."""
    port = free_port()
    configuration = workspace.path("nginx-%d.conf" % port)
    with open(configuration, "w") as file:
        file.write(NGINX.format(folder=workspace.folder, port=port, location=location))
    return nginx(workspace, configuration, port)


def nginx(workspace, configuration, port):
    workspace.start(["nginx", "-c", configuration, "-g", "daemon off;"])
    base = "http://127.0.0.1:%d" % port
    wait_until(lambda: answers_http(base + "/"), "nginx")
    return base


def fastcgi(workspace, name, command, environment=None):
    """A FastCGI program behind an nginx of its own; gives its process, the base URL and its socket."""
    path = workspace.path("%s-%d.sock" % (name, free_port()))
    process = workspace.start(command, listening(path), environment)
    return process, behind_nginx(workspace, "location / { fastcgi_pass unix:%s; }" % path), path


def function(executable, name, route, workers, **more):
    """The command and the environment of one of ours, as an instance starts it."""
    return [executable], {
        **basics(executable), "TAPROOM_FUNCTION": name, "TAPROOM_ROUTES": route, "TAPROOM_CONCURRENCY": str(workers),
        **more}


def basics(executable):
    """What is the same in the environment of every function, see Sources/Manifest/Environment.swift."""
    return {
        "PATH": os.environ["PATH"], "LD_LIBRARY_PATH": os.path.join(os.path.dirname(executable), "libraries"),
        "GLIBC_TUNABLES": "glibc.malloc.tcache_max=128", "RES_OPTIONS": "timeout:1 attempts:2"}


def livez(workspace, executable):
    """Our function that only answers."""
    return fastcgi(workspace, "livez", *function(executable, "livez", "GET /livez", WORKERS))


def c_answer(workspace):
    program = workspace.compile("peers/c-answer/answer.c", "fcgi")
    return fastcgi(workspace, "c-answer", [program, str(WORKERS)])


def php_answer(workspace):
    """Debian's php-fpm with its own php.ini, where opcache is on; a static pool of as many workers as ours."""
    user = "user = www-data" if os.geteuid() == 0 else ""
    configuration = workspace.path("php-fpm.conf")
    with open(configuration, "w") as file:
        file.write(PHP_FPM.format(folder=workspace.folder, workers=WORKERS, user=user))
    script = workspace.path("answer.php")
    with open(os.path.join(ROOT, "bench/peers/php-fpm/answer.php")) as source, open(script, "w") as file:
        file.write(source.read())
    workspace.start([sorted(glob.glob("/usr/sbin/php-fpm[0-9]*"))[-1], "--nodaemonize", "--fpm-config", configuration])
    wait_until(lambda: os.path.exists(workspace.path("php.sock")), "php-fpm")
    return behind_nginx(workspace, "location / { fastcgi_param SCRIPT_FILENAME %s; fastcgi_pass unix:%s; }" % (
        script, workspace.path("php.sock")))


@functools.cache
def c_statement(workspace, instance, function, workers):
    """A function's statement in C, with as many workers, behind the instance's own nginx.conf; started once."""
    return behind_gateway(workspace, instance, function, c_statement_command(workspace, function, workers))


def c_bare(workspace, instance, function, keeps):
    """A function's statement with as little as FastCGI can do, in connections that nginx closes or keeps."""
    program = workspace.compile("peers/c-bare/bare.c", "pq")
    return behind_gateway(workspace, instance, function, [program, *BARE_IN_C[function]], keeps)


def behind_gateway(workspace, instance, function, command, keeps=False):
    """A FastCGI program in a function's place behind the instance's own nginx.conf, in which nothing else changes but,
    when asked for, that connections to the program are kept."""
    path = workspace.path("%s-%d.sock" % (function, free_port()))
    workspace.start(command, listening(path), {**os.environ, "DATABASE_URL": instance.database})
    with open(os.path.join(instance.state, "nginx.conf")) as file:
        text = file.read()
    port = free_port()
    changes = [("(?m)^pid .*;", "pid %s/nginx-%d.pid;" % (workspace.folder, port)),
               (r"listen 127\.0\.0\.1:\d+", "listen 127.0.0.1:%d" % port),
               (r"unix:\S*/%s\.sock" % function, "unix:" + path)]
    if keeps:
        changes += [(r"(server unix:%s[^;]*;)" % re.escape(path), r"\1 keepalive %d;" % KEPT),
                    ("fastcgi_keep_conn off;", "fastcgi_keep_conn on;")]
    for pattern, other in changes:
        text, count = re.subn(pattern, other, text)
        if count != 1:
            sys.exit("bench: %s/nginx.conf has %d times “%s”, not once" % (instance.state, count, pattern))
    configuration = workspace.path("gateway-%d.conf" % port)
    with open(configuration, "w") as file:
        file.write(text)
    return nginx(workspace, configuration, port)


def c_statement_command(workspace, function, workers):
    return [workspace.compile("peers/c-statement/statement.c", "fcgi", "pq"), str(workers), *IN_C[function]]


def flask(workspace, instance):
    """Flask and SQLAlchemy under gunicorn's own workers, on a Unix socket behind nginx."""
    address = urlsplit(instance.database)
    url = "postgresql+psycopg2://%s:%s@%s?host=%s&port=%d" % (
        address.username, address.password, address.path, unquote(address.hostname), address.port)
    name = "flask-%d.sock" % free_port()
    workspace.start(
        ["/usr/bin/gunicorn", "--workers", str(FLASK_WORKERS), "--bind", "unix:" + workspace.path(name), "--umask", "0",
         "--chdir", os.path.join(ROOT, "bench/peers/flask"), "--log-level", "warning", "app:app"],
        environment={"PATH": os.environ["PATH"], "DATABASE_URL": url, "PYTHONDONTWRITEBYTECODE": "1"})
    wait_until(lambda: os.path.exists(workspace.path(name)), "gunicorn")
    return behind_nginx(workspace, "location / { proxy_read_timeout 300s; proxy_set_header X-Request-Id $request_id; "
                        "proxy_pass http://unix:%s; }" % workspace.path(name))
