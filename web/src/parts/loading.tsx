import { Spin } from "antd";
import { useWords } from "../words";

export function Loading() {
  const words = useWords();
  return (
    <div style={{ padding: 64, textAlign: "center" }} role="status" aria-label={words.common.loading}>
      <Spin size="large" />
    </div>
  );
}
