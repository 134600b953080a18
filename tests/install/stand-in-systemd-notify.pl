#!/usr/bin/perl
# Stands in for systemd-notify(1): sends its parameters to the service manager as sd_notify(3) does.
use strict;
use warnings;
use Socket;

my $path = $ENV{NOTIFY_SOCKET} or die "no NOTIFY_SOCKET\n";
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "$!";
defined send($socket, join("\n", @ARGV), 0, pack_sockaddr_un($path)) or die "$!";
