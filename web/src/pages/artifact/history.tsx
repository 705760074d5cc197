// The commands that an image was built with.
import { useQuery } from "@tanstack/react-query";
import { Table, Typography, type TableColumnsType } from "antd";
import { queries } from "../../api/queries";
import { Failure } from "../../parts/failure";
import { useTongue } from "../../words";
import type { Place } from "../artifacts/place";

export function History({ place, digest }: { place: Place; digest: string }) {
  const { words, format } = useTongue();
  const history = useQuery(queries.history(place.project, place.repository, digest));
  if (history.error !== null) return <Failure error={history.error} retry={() => void history.refetch()} />;
  if (history.data?.length === 0) return <Typography.Paragraph type="secondary" style={{ margin: 0 }}>{words.artifacts.page.noHistory}</Typography.Paragraph>;
  const rows = (history.data ?? []).map((step, i) => ({ ...step, key: i }));
  const columns: TableColumnsType<typeof rows[number]> = [
    { title: words.artifacts.page.created2, dataIndex: "created", className: "nowrap", width: 190, render: (t: string | null) => format.time(t) },
    {
      title: words.artifacts.page.command, dataIndex: "created_by",
      render: (command: string | undefined, step) => (
        <>
          <span className="code">{command ?? step.comment}</span>
          {step.empty_layer === true && <Typography.Text type="secondary" className="cell-sub">{words.artifacts.page.emptyLayer}</Typography.Text>}
        </>
      ),
    },
  ];
  return <Table columns={columns} dataSource={rows} loading={history.isPending} size="small" scroll={{ x: 480 }} pagination={rows.length > 20 ? { size: "small", pageSize: 20, showSizeChanger: false } : false} />;
}
