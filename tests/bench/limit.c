/* The floor of the measurements: a C program with nothing but the system calls.
 *
 *   limit PORT flip      turns each query into a reply by flipping one bit (what no resolver can beat)
 *   limit PORT answer    answers every A question with 192.0.2.1, TTL 300 (the upstream of the bench), others with NOERROR and no data;
 *                        also over TCP
 *
 * Loopback only. Reads and writes up to 64 datagrams per call. Ends with its parent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, ROOM = 2048 };

static unsigned char room[BATCH][ROOM];

static int question_end(const unsigned char *m, int n) {
    int at = 12;
    while (at < n && m[at]) at += m[at] + 1;
    return at + 5 <= n ? at + 5 : -1;
}

static int answer(unsigned char *m, int n) {
    static const unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0x2c, 0, 4, 192, 0, 2, 1};
    int end = n < 17 ? -1 : question_end(m, n);
    if (end < 0) return 0;
    int is_a = m[end - 4] == 0 && m[end - 3] == 1;
    m[2] = 0x81; m[3] = 0x80;
    m[6] = 0; m[7] = is_a; m[8] = m[9] = m[10] = m[11] = 0;
    if (!is_a) return end;
    memcpy(m + end, record, sizeof record);
    return end + (int)sizeof record;
}

static int read_all(int fd, unsigned char *to, size_t wanted) {
    while (wanted) {
        ssize_t got = read(fd, to, wanted);
        if (got <= 0) return 0;
        to += got;
        wanted -= (size_t)got;
    }
    return 1;
}

/* One TCP connection: length, query, answer, until the other side leaves. */
static void *serve_stream(void *given) {
    int fd = (int)(intptr_t)given;
    unsigned char frame[ROOM + 2];
    while (read_all(fd, frame, 2)) {
        int length = frame[0] << 8 | frame[1];
        if (length > ROOM - 64 || !read_all(fd, frame + 2, (size_t)length)) break;
        length = answer(frame + 2, length);
        if (!length) break;
        frame[0] = (unsigned char)(length >> 8);
        frame[1] = (unsigned char)length;
        if (write(fd, frame, (size_t)length + 2) < 0) break;
    }
    close(fd);
    return NULL;
}

static void *accept_streams(void *given) {
    struct sockaddr_in *here = given;
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)here, sizeof *here) || listen(fd, 128)) { perror("tcp"); exit(1); }
    for (;;) {
        int stream = accept(fd, NULL, NULL);
        pthread_t thread;
        if (stream >= 0 && !pthread_create(&thread, NULL, serve_stream, (void *)(intptr_t)stream)) pthread_detach(thread);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) { fprintf(stderr, "limit PORT flip|answer\n"); return 2; }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int answering = !strcmp(argv[2], "answer"), big = 8 << 20;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
    if (bind(fd, (struct sockaddr *)&here, sizeof here)) { perror("bind"); return 1; }
    pthread_t streams;
    if (answering) pthread_create(&streams, NULL, accept_streams, &here);
    struct mmsghdr heads[BATCH];
    struct iovec rooms[BATCH];
    struct sockaddr_in from[BATCH];
    memset(heads, 0, sizeof heads);
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            rooms[i].iov_base = room[i];
            rooms[i].iov_len = ROOM - 64;
            heads[i].msg_hdr.msg_iov = &rooms[i];
            heads[i].msg_hdr.msg_iovlen = 1;
            heads[i].msg_hdr.msg_name = &from[i];
            heads[i].msg_hdr.msg_namelen = sizeof from[i];
        }
        int got = recvmmsg(fd, heads, BATCH, MSG_WAITFORONE, NULL);
        if (got < 0) continue;
        for (int i = 0; i < got; i++) {
            int length = (int)heads[i].msg_len;
            if (answering) length = answer(room[i], length);
            else room[i][2] |= 0x80;
            rooms[i].iov_len = (size_t)length;
        }
        for (int sent = 0; sent < got;) {
            int now = sendmmsg(fd, heads + sent, (unsigned)(got - sent), 0);
            sent += now > 0 ? now : 1;
        }
    }
}
