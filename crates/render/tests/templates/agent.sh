set -e
root=''
mkdir -p "$root"/usr/local/bin "$root"/etc/systemd/system/multi-user.target.wants
file="$root"/usr/local/bin/zw-agent
if command -v curl >/dev/null; then
  curl --fail --silent --show-error --retry 10 --output "$file.new" http://10.64.0.3/agent/zw-agent
else
  wget -q -O "$file.new" http://10.64.0.3/agent/zw-agent
fi
test "$(sha256sum "$file.new" | cut -d ' ' -f 1)" = cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
chmod 0755 "$file.new"
mv "$file.new" "$file"
cat >"$root"/etc/systemd/system/zw-agent.service <<'END'
[Unit]
Description=Zonewright agent
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/local/bin/zw-agent --controller https://10.64.0.3:8443 --controller https://10.64.0.2:8443 --ca-pin sha256:abababababababababababababababababababababababababababababababab --location t1/p1/r1/u1
Restart=always
RestartSec=2
StateDirectory=zonewright-agent
StateDirectoryMode=0700

[Install]
WantedBy=multi-user.target
END
ln -sf ../zw-agent.service "$root"/etc/systemd/system/multi-user.target.wants/zw-agent.service
