-- PowerDNS Recursor 4.8 theo danh sách: IXFR với TSIG, hỏi lại mỗi 60 giây (tệp của lua-config-file).
-- PowerDNS Recursor 4.8 follows the list: IXFR with TSIG, asking every 60 seconds (the file of lua-config-file).
rpzPrimary("192.0.2.53:5399", "rpz.lachan.test", {
  tsigname = "follower", tsigalgo = "hmac-sha256", tsigsecret = "SECRET",
  refresh = 60, dumpFile = "/var/lib/powerdns/rpz.lachan.test.zone", seedFile = "/var/lib/powerdns/rpz.lachan.test.zone",
})
