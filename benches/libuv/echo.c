/*
 * Contender: libuv. `echo-libuv --listen 127.0.0.1:0`
 *
 * One shared read buffer; what was read is written at once with uv_try_write, and only what the
 * socket refuses is copied into a queued write, during which the connection is not read.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

struct queued_write {
    uv_write_t request;
    char data[];
};

static char read_buffer[64 * 1024];

static void check(int status, const char *what) {
    if (status < 0) {
        fprintf(stderr, "error: %s: %s\n", what, uv_strerror(status));
        exit(1);
    }
}

static void free_connection(uv_handle_t *handle) {
    free(handle);
}

static void close_connection(uv_stream_t *stream) {
    if (!uv_is_closing((uv_handle_t *)stream)) {
        uv_close((uv_handle_t *)stream, free_connection);
    }
}

static void lend_buffer(uv_handle_t *handle, size_t suggested_size, uv_buf_t *buffer) {
    (void)handle;
    (void)suggested_size;
    buffer->base = read_buffer;
    buffer->len = sizeof read_buffer;
}

static void received(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer);

static void written(uv_write_t *request, int status) {
    uv_stream_t *stream = request->handle;
    free((struct queued_write *)request);
    if (status < 0 || uv_read_start(stream, lend_buffer, received) < 0) {
        close_connection(stream);
    }
}

static void received(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    if (count == 0) {
        return;
    }
    if (count < 0) {
        close_connection(stream);
        return;
    }
    uv_buf_t data = uv_buf_init(buffer->base, (unsigned)count);
    int sent = uv_try_write(stream, &data, 1);
    if (sent == UV_EAGAIN) {
        sent = 0;
    }
    if (sent < 0) {
        close_connection(stream);
        return;
    }
    if (sent == count) {
        return;
    }
    size_t rest = (size_t)(count - sent);
    struct queued_write *queued = malloc(sizeof *queued + rest);
    if (queued == NULL) {
        close_connection(stream);
        return;
    }
    memcpy(queued->data, buffer->base + sent, rest);
    data = uv_buf_init(queued->data, (unsigned)rest);
    uv_read_stop(stream);
    if (uv_write(&queued->request, stream, &data, 1, written) < 0) {
        free(queued);
        close_connection(stream);
    }
}

static void connected(uv_stream_t *listener, int status) {
    check(status, "accept");
    uv_tcp_t *connection = malloc(sizeof *connection);
    if (connection == NULL) {
        check(UV_ENOMEM, "accept");
    }
    check(uv_tcp_init(listener->loop, connection), "uv_tcp_init");
    if (uv_accept(listener, (uv_stream_t *)connection) < 0
        || uv_tcp_nodelay(connection, 1) < 0
        || uv_read_start((uv_stream_t *)connection, lend_buffer, received) < 0) {
        close_connection((uv_stream_t *)connection);
    }
}

static void terminated(uv_signal_t *signal, int number) {
    (void)number;
    uv_stop(signal->loop);
}

static void listen_on(uv_tcp_t *listener, char *address) {
    struct sockaddr_in name;
    int size = sizeof name;
    char *port = strrchr(address, ':');
    if (port == NULL) {
        check(UV_EINVAL, address);
    }
    *port++ = '\0';
    check(uv_ip4_addr(address, atoi(port), &name), address);
    check(uv_tcp_bind(listener, (struct sockaddr *)&name, 0), "bind");
    check(uv_listen((uv_stream_t *)listener, 1024, connected), "listen");
    check(uv_tcp_getsockname(listener, (struct sockaddr *)&name, &size), "getsockname");
    printf("listening on %s:%d\n", address, ntohs(name.sin_port));
    fflush(stdout);
}

int main(int count, char **arguments) {
    struct rlimit files;
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    uv_signal_t termination;
    if (count != 3 || strcmp(arguments[1], "--listen") != 0) {
        fprintf(stderr, "error: usage: echo-libuv --listen ADDRESS:PORT\n");
        return 1;
    }
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    check(uv_signal_init(loop, &termination), "uv_signal_init");
    check(uv_signal_start(&termination, terminated, SIGTERM), "uv_signal_start");
    check(uv_tcp_init(loop, &listener), "uv_tcp_init");
    listen_on(&listener, arguments[2]);
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}
