# shellcheck shell=bash disable=SC2154
# The package, an older one, and what has to be in it.

# sets `new`, `old`, `version`
build() {
    new=$("$top/packaging/build-deb" --debug --output "$scratch/" | tail -n 1)
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -n 1)-1
    same "$(dpkg-deb --field "$new" Package Version | xargs)" "Package: certbaton Version: $version" "the package's version"
    # The same but for its version and a conffile.
    dpkg-deb --raw-extract "$new" "$scratch/old"
    sed -i "s/^Version: .*/Version: 0.0.1-1/" "$scratch/old/DEBIAN/control"
    echo '# older' >> "$scratch/old/etc/sudoers.d/certbaton"
    old=$scratch/old.deb
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$scratch/old" "$old" > "$scratch/log"
    echo "ok: packaging/build-deb: version $version"
    (cd "$top" && cargo tree --quiet --locked --features static --invert openssl-src) > "$scratch/log"
    echo "ok: with the feature static OpenSSL is built along"
}

contents() {
    local conffiles program
    dpkg-deb --contents "$new" | awk '$1 !~ /^d/ { print $1, $2, substr($6, 2) }' | sort > "$scratch/contents"
    must_fail grep -Ev '^-(rw-r--r--|rwxr-xr-x|r--r-----) 0/0 ' "$scratch/contents"
    # Whatever is there to be installed is in it, and of the rest nothing outside the documentation.
    {
        for program in "$top"/src/bin/*.rs; do echo "-rwxr-xr-x 0/0 /usr/bin/$(basename "$program" .rs)"; done
        echo "-r--r----- 0/0 /etc/sudoers.d/certbaton"
        (cd "$top/hooks/systemd" && find . -type f -printf '-rw-r--r-- 0/0 /usr/lib/systemd/system/%P\n')
        (cd "$top/hooks" && find sysusers.d tmpfiles.d -type f -printf '-rw-r--r-- 0/0 /usr/lib/%p\n')
    } | sort > "$scratch/expected"
    grep -v ' /usr/share/' "$scratch/contents" | diff "$scratch/expected" - || fail "the package has other files"
    (cd "$top" && find doc -path doc/man -prune -o -type f -printf '/usr/share/doc/certbaton/%p\n'
        cd "$top/target/documents" && find man -name '*.1' -printf '/usr/share/man/man1/%f.gz\n'
        find man -name '*.5' -printf '/usr/share/man/man5/%f.gz\n'
        find completions/bash -type f -printf '/usr/share/bash-completion/completions/%f\n'
        find completions/zsh -type f -printf '/usr/share/zsh/vendor-completions/%f\n'
        find completions/fish -type f -printf '/usr/share/fish/vendor_completions.d/%f\n'
        printf '/usr/share/certbaton/hooks/%s/certbaton\n' pre deploy post
        printf '/usr/share/doc/certbaton/%s\n' {README,ARCHITECTURE,CONTRIBUTING,SECURITY}.md crates \
            changelog.gz changelog.Debian.gz copyright \
            examples/ssh/{config,authorized_keys,sshd_config}) | sort > "$scratch/expected"
    sed -n 's|.* \(/usr/share/\)|\1|p' "$scratch/contents" | sort | diff "$scratch/expected" - ||
        fail "the package has other documentation"
    # Debian's certbot would come beside the one of a virtual environment or of snap that is there.
    dpkg-deb --field "$new" Pre-Depends Depends Recommends > "$scratch/log"
    grep -q openssh-client "$scratch/log" || fail "the package depends on nothing"
    must_fail grep -w certbot "$scratch/log"
    conffiles=$(dpkg-deb --info "$new" conffiles | sort)
    same "$conffiles" "$(sed -n 's|.* \(/etc/\)|\1|p' "$scratch/contents" | sort)" "conffiles"
    echo "ok: contents: programs, hooks, units, pages, completions; all of root's; conffiles are what is in /etc; no certbot comes along"
}
