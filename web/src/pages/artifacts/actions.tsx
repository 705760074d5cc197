// What is done to artifacts and tags. What cannot be undone says what it destroys.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { App } from "antd";
import { api, must, type Artifact } from "../../api/client";
import { Copyable } from "../../parts/copy";
import { useTell } from "../../parts/failure";
import { useTongue } from "../../words";
import { nameOf } from "./names";
import { at, type Place } from "./place";

/** Has everything read anew that an artifact is shown in. */
export function useRenew(): () => Promise<unknown> {
  const client = useQueryClient();
  return () => Promise.all(["artifacts", "repository", "repositories"].map((key) => client.invalidateQueries({ queryKey: [key] })));
}

const namedTags = 10;

export function useArtifactActions(place: Place) {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const renew = useRenew();
  const remove = useMutation({
    mutationFn: async (list: Artifact[]) => {
      for (const { digest = "" } of list) await must(api.DELETE("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}", { params: { path: at(place, digest) } }));
    },
    onSuccess: () => tell.done(words.artifacts.deleted), onError: tell.failed, onSettled: renew,
  });
  const removeTags = useMutation({
    mutationFn: async ({ artifact, names }: { artifact: Artifact; names: string[] }) => {
      for (const tag_name of names) {
        await must(api.DELETE("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/tags/{tag_name}", { params: { path: { ...at(place, artifact.digest ?? ""), tag_name } } }));
      }
    },
    onSuccess: () => tell.done(words.artifacts.tagRemoved), onError: tell.failed, onSettled: renew,
  });
  return {
    copyDigest: async (a: Artifact) => {
      // Without TLS browsers have no clipboard for pages, but for localhost.
      try {
        await navigator.clipboard.writeText(a.digest ?? "");
        tell.done(words.artifacts.copiedDigest);
      } catch {
        modal.info({ title: words.artifacts.columns.artifact, okText: words.common.close, content: <><p>{words.artifacts.notCopied}</p><Copyable text={a.digest ?? ""} /></> });
      }
    },
    remove: (list: Artifact[], done?: () => void) => {
      const tags = list.flatMap((a) => (a.tags ?? []).map((t) => t.name ?? ""));
      const accessories = list.reduce((sum, a) => sum + (a.accessories ?? []).length, 0);
      modal.confirm({
        title: words.artifacts.deleteTitle, okText: words.common.delete, cancelText: words.common.cancel, okButtonProps: { danger: true }, width: 520,
        content: (
          <>
            <p className="break">{words.artifacts.deleteText(list.map(nameOf).join(", "))}</p>
            {tags.length > 0 && <p className="break">{words.artifacts.deleteTags(tags.slice(0, namedTags).join(", "), Math.max(0, tags.length - namedTags))}</p>}
            {accessories > 0 && <p>{words.artifacts.deleteAccessories(accessories)}</p>}
            <p>{words.artifacts.deleteElsewhere}</p>
          </>
        ),
        onOk: () => remove.mutateAsync(list).then(done, () => undefined),
      });
    },
    removeTags: (artifact: Artifact, names: string[], done: () => void) => modal.confirm({
      title: words.artifacts.removeTagTitle, okText: words.common.delete, cancelText: words.common.cancel, okButtonProps: { danger: true }, width: 520,
      content: (
        <>
          <p className="break">{words.artifacts.removeTagText(names.join(", "))}</p>
          <p>{names.length < (artifact.tags ?? []).length ? words.artifacts.removeTagWhat : words.artifacts.removeLastTag}</p>
          <p>{words.artifacts.deleteElsewhere}</p>
        </>
      ),
      onOk: () => removeTags.mutateAsync({ artifact, names }).then(done, () => undefined),
    }),
  };
}
