package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lighterage/lighterage/bench/harness"
)

const remote = "harbor-s3"

// rcloneSeed runs rclone as the procedure does that Lighterage replaces: sync, then
// check, with no options that matter.
func rcloneSeed(name, path string) tool {
	sync := rcloneRun(path, "sync", "--progress")
	return tool{name, []step{
		{cold, sync},
		{idle, sync},
		{check, rcloneRun(path, "check", "--one-way", "--progress")},
	}}
}

// rcloneTuned runs rclone as well as it can be run for this: as many requests at a
// time as we send, no HEAD after each PUT, one list of the bucket instead of one for
// each folder. A copy that compares sizes is its fastest, and does not see that a tag
// stands for something else, since all digests are of one length; a second one that
// compares the tags' hashes does.
func rcloneTuned(name, path string) tool {
	base := []string{"--fast-list", "--transfers", "64", "--checkers", "64", "--s3-no-head", "--s3-no-check-bucket",
		"--s3-chunk-size", "16M", "--s3-upload-concurrency", "8"}
	const tags = "**/_manifests/tags/*/current/link"
	junk := []string{"--filter", "- **/_uploads/**", "--filter", "- lost+found/**"}
	run := func(command string, options ...string) func(context.Context, *world, *store) (harness.Usage, error) {
		return rcloneRun(path, command, append(options, base...)...)
	}
	blobsAndLinks := run("copy", append([]string{"--size-only", "--filter", "- " + tags}, junk...)...)
	tagsOnly := run("copy", "--checksum", "--filter", "+ "+tags, "--filter", "- **")
	return tool{name, []step{
		{cold, run("copy", junk...)},
		{idle, run("copy", append([]string{"--size-only"}, junk...)...)},
		{idleTags, func(ctx context.Context, w *world, o *store) (harness.Usage, error) {
			used, err := blobsAndLinks(ctx, w, o)
			if err != nil {
				return used, err
			}
			more, err := tagsOnly(ctx, w, o)
			used.Add(more)
			return used, err
		}},
		{check, run("check", append([]string{"--one-way", "--checksum"}, junk...)...)},
		{checkSizes, run("check", append([]string{"--one-way", "--size-only"}, junk...)...)},
	}}
}

func rcloneRun(path, command string, options ...string) func(context.Context, *world, *store) (harness.Usage, error) {
	return func(ctx context.Context, w *world, o *store) (harness.Usage, error) {
		config := filepath.Join(w.dir, "rclone.conf")
		text := fmt.Sprintf("[%s]\ntype = s3\nprovider = Minio\nenv_auth = false\naccess_key_id = %s\nsecret_access_key = %s\nendpoint = http://%s\nacl = private\n",
			remote, accessKey, secretKey, o.address)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return harness.Usage{}, err
		}
		return harness.Run(ctx, nil, path, append([]string{"--config", config, command, w.volume.Root, remote + ":" + bucket}, options...)...)
	}
}
