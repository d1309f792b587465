// SPDX-License-Identifier: GPL-2.0
/*
 * Clients of the tarpit on lwIP: lwip-clients TUN ADDRESS SERVER PORT SECONDS
 *
 * All of them live on one TUN interface for so many seconds. Then each gives one line: its port, what
 * it does, and after how many seconds its connection was gone, or - if it is still there. lwIP is
 * driven by its raw interface from one thread; Debian builds it without TCP timestamps.
 */
#include <err.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>

struct client {
	const char *name;
	u16_t write;	/* so many bytes, once it is connected, */
	u16_t more;	/* and so many when those are acknowledged */
	bool close;
	bool keep_alive; /* 60/20/6 */
	u16_t port;
	u64_t gone;
};

static struct client clients[] = {
	{ .name = "connected and waits" },
	{ .name = "wrote 200 bytes and waits", .write = 200 },
	{ .name = "wrote 10 bytes, then 190, and waits", .write = 10, .more = 190 },
	{ .name = "wrote 200 bytes and closed", .write = 200, .close = true },
	{ .name = "closed at once", .close = true },
	{ .name = "connected and waits, keep-alive", .keep_alive = true },
	{ .name = "wrote 200 bytes and waits, keep-alive", .write = 200, .keep_alive = true },
};
#define CLIENTS (sizeof(clients) / sizeof(clients[0]))
#define FIRST_PORT 11001

static int tun;

static u64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static err_t send_packet(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
	char packet[2048];

	if (write(tun, packet, pbuf_copy_partial(p, packet, sizeof(packet), 0)) < 0)
		err(1, "write to the interface");
	return ERR_OK;
}

static err_t set_up(struct netif *netif)
{
	netif->output = send_packet;
	netif->mtu = 1500;
	netif->flags = NETIF_FLAG_LINK_UP;
	return ERR_OK;
}

static void must(err_t error, const char *what)
{
	if (error != ERR_OK)
		errx(1, "%s: lwIP's error %d", what, error);
}

static void put(struct tcp_pcb *pcb, u16_t octets)
{
	static const char zeros[2048];

	if (octets)
		must(tcp_write(pcb, zeros, octets, 0), "tcp_write");
}

static err_t acknowledged(void *arg, struct tcp_pcb *pcb, u16_t octets)
{
	struct client *client = arg;

	if (client->more) {
		put(pcb, client->more);
		client->more = 0;
	}
	return ERR_OK;
}

static err_t connected(void *arg, struct tcp_pcb *pcb, err_t error)
{
	struct client *client = arg;

	put(pcb, client->write);
	if (client->close)
		must(tcp_close(pcb), "tcp_close");
	return ERR_OK;
}

static void start(struct client *client, const ip_addr_t *server, u16_t port)
{
	struct tcp_pcb *pcb = tcp_new();

	if (!pcb)
		errx(1, "tcp_new");
	client->port = FIRST_PORT + (client - clients);
	tcp_arg(pcb, client);
	tcp_sent(pcb, acknowledged);
	if (client->keep_alive) {
		ip_set_option(pcb, SOF_KEEPALIVE);
		pcb->keep_idle = 60000;
		pcb->keep_intvl = 20000;
		pcb->keep_cnt = 6;
	}
	must(tcp_bind(pcb, IP_ANY_TYPE, client->port), "tcp_bind");
	must(tcp_connect(pcb, server, port, connected), "tcp_connect");
}

static bool there(u16_t port)
{
	for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
		if (pcb->local_port == port)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	struct netif netif;
	ip4_addr_t address, mask;
	ip_addr_t server;
	u64_t begin, end, tick;

	if (argc != 6 || !ip4addr_aton(argv[2], &address) || !ipaddr_aton(argv[3], &server))
		errx(2, "usage: lwip-clients TUN ADDRESS SERVER PORT SECONDS");
	tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	strncpy(request.ifr_name, argv[1], sizeof(request.ifr_name) - 1);
	if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0)
		err(1, "%s", argv[1]);

	lwip_init();
	IP4_ADDR(&mask, 255, 255, 255, 0);
	netif_add(&netif, &address, &mask, ip_2_ip4(&server), NULL, set_up, ip_input);
	netif_set_default(&netif);
	netif_set_up(&netif);

	begin = tick = now_ms();
	end = begin + strtoull(argv[5], NULL, 10) * 1000;
	for (size_t i = 0; i < CLIENTS; i++)
		start(&clients[i], &server, atoi(argv[4]));

	while (now_ms() < end) {
		struct pollfd readable = { .fd = tun, .events = POLLIN };
		char packet[2048];
		ssize_t length;
		int wait = tick + 1000 - now_ms();

		poll(&readable, 1, wait > 0 ? wait : 0);
		while ((length = read(tun, packet, sizeof(packet))) > 0) {
			struct pbuf *p = pbuf_alloc(PBUF_RAW, length, PBUF_RAM);

			pbuf_take(p, packet, length);
			if (netif.input(p, &netif) != ERR_OK)
				pbuf_free(p);
		}
		/* The four ticks of a second all come at its end: in a day, each waking up costs. */
		for (; now_ms() >= tick + 1000; tick += 1000)
			for (int i = 0; i < 1000 / TCP_TMR_INTERVAL; i++)
				tcp_tmr();
		for (struct client *c = clients; c < clients + CLIENTS; c++)
			if (!c->gone && !there(c->port))
				c->gone = now_ms();
	}

	for (struct client *c = clients; c < clients + CLIENTS; c++) {
		printf("%u\t%s, no timestamps\t", c->port, c->name);
		if (c->gone)
			printf("%llu\n", (unsigned long long)((c->gone - begin + 999) / 1000));
		else
			printf("-\n");
	}
	return 0;
}
