package api

import (
	"context"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/notification"
	"github.com/lighterage/lighterage/internal/problem"
)

// notificationResource is what the right to notifications is asked for. No robot can
// have it: who sets a target has the server send requests to where they like.
const notificationResource = "notification-policy"

func (a *api) ListNotifications(ctx context.Context, r gen.ListNotificationsRequestObject) (gen.ListNotificationsResponseObject, error) {
	if _, err := a.require(ctx, notificationResource, "list"); err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize, contains("name", r.Params.Name))
	if err != nil {
		return nil, err
	}
	targets, total, err := a.o.Notifications.List(ctx, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.Notification, 0, len(targets))
	for _, t := range targets {
		body = append(body, wireNotification(t))
	}
	return gen.ListNotifications200JSONResponse{Body: body, Headers: gen.ListNotifications200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) CreateNotification(ctx context.Context, r gen.CreateNotificationRequestObject) (gen.CreateNotificationResponseObject, error) {
	if _, err := a.require(ctx, notificationResource, "create"); err != nil {
		return nil, err
	}
	if err := a.checkPolicies(ctx, r.Body.PolicyIds); err != nil {
		return nil, err
	}
	id, err := a.o.Notifications.Create(ctx, target(*r.Body))
	if err != nil {
		return nil, err
	}
	return created("notifications", id), nil
}

func (a *api) GetNotification(ctx context.Context, r gen.GetNotificationRequestObject) (gen.GetNotificationResponseObject, error) {
	if _, err := a.require(ctx, notificationResource, "read"); err != nil {
		return nil, err
	}
	t, err := a.o.Notifications.Get(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return gen.GetNotification200JSONResponse(wireNotification(t)), nil
}

func (a *api) UpdateNotification(ctx context.Context, r gen.UpdateNotificationRequestObject) (gen.UpdateNotificationResponseObject, error) {
	if _, err := a.require(ctx, notificationResource, "update"); err != nil {
		return nil, err
	}
	old, err := a.o.Notifications.Get(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	// Rules that are gone may stay in it.
	if err := a.checkPolicies(ctx, without(r.Body.PolicyIds, old.PolicyIDs)); err != nil {
		return nil, err
	}
	t := target(*r.Body)
	t.ID = r.ID
	if err := a.o.Notifications.Update(ctx, t, r.Body.AuthHeader); err != nil {
		return nil, err
	}
	return gen.UpdateNotification200Response{}, nil
}

func (a *api) DeleteNotification(ctx context.Context, r gen.DeleteNotificationRequestObject) (gen.DeleteNotificationResponseObject, error) {
	if _, err := a.require(ctx, notificationResource, "delete"); err != nil {
		return nil, err
	}
	if err := a.o.Notifications.Delete(ctx, r.ID); err != nil {
		return nil, err
	}
	return gen.DeleteNotification200Response{}, nil
}

func (a *api) TestNotification(ctx context.Context, r gen.TestNotificationRequestObject) (gen.TestNotificationResponseObject, error) {
	if _, err := a.require(ctx, notificationResource, "update"); err != nil {
		return nil, err
	}
	attempt, err := a.o.Notifications.Test(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return gen.TestNotification200JSONResponse(wireAttempt(attempt)), nil
}

func (a *api) ListNotificationDeliveries(ctx context.Context, r gen.ListNotificationDeliveriesRequestObject) (gen.ListNotificationDeliveriesResponseObject, error) {
	if _, err := a.require(ctx, notificationResource, "read"); err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	deliveries, total, err := a.o.Notifications.Deliveries(ctx, r.ID, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.NotificationDelivery, 0, len(deliveries))
	for _, d := range deliveries {
		w := gen.NotificationDelivery{
			ID: d.ID, EventID: d.EventID, Event: d.Event, Status: d.Status, Body: d.Body, Attempts: d.Attempts,
			ResponseStatus: d.ResponseStatus, Error: d.Error, CreationTime: gen.Time{Time: d.CreationTime},
		}
		if !d.AttemptTime.IsZero() {
			w.AttemptTime = &gen.Time{Time: d.AttemptTime}
		}
		if !d.NextAttemptTime.IsZero() {
			w.NextAttemptTime = &gen.Time{Time: d.NextAttemptTime}
		}
		body = append(body, w)
	}
	return gen.ListNotificationDeliveries200JSONResponse{
		Body: body, Headers: gen.ListNotificationDeliveries200ResponseHeaders(paging(ctx, total, query)),
	}, nil
}

// checkPolicies refuses rules that are not there.
func (a *api) checkPolicies(ctx context.Context, ids []int64) error {
	for _, id := range ids {
		_, err := a.o.Replication.GetPolicy(ctx, id)
		if problem.Is(err, problem.NotFound) {
			return problem.Wrap(problem.BadRequest, err, "policy_ids")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func without(ids, known []int64) []int64 {
	var rest []int64
	for _, id := range ids {
		seen := false
		for _, k := range known {
			seen = seen || k == id
		}
		if !seen {
			rest = append(rest, id)
		}
	}
	return rest
}

func target(w gen.Notification) notification.Target {
	t := notification.Target{
		Name: w.Name, Description: w.Description, Enabled: w.Enabled, URL: w.URL, SkipCertVerify: w.SkipCertVerify,
		CACertificate: w.CaCertificate, Format: notification.Format(w.PayloadFormat), PolicyIDs: w.PolicyIds,
	}
	if w.AuthHeader != nil {
		t.AuthHeader = *w.AuthHeader
	}
	for _, event := range w.Events {
		t.Events = append(t.Events, notification.Kind(event))
	}
	return t
}

// wireNotification never shows a secret.
func wireNotification(t notification.Target) gen.Notification {
	w := gen.Notification{
		ID: t.ID, Name: t.Name, Description: t.Description, Enabled: t.Enabled, URL: t.URL, SkipCertVerify: t.SkipCertVerify,
		CaCertificate: t.CACertificate, PayloadFormat: string(t.Format), PolicyIds: t.PolicyIDs, Events: make([]string, 0, len(t.Events)),
		Waiting: t.Waiting, CreationTime: gen.Time{Time: t.CreationTime}, UpdateTime: gen.Time{Time: t.UpdateTime},
	}
	if t.HasSecret() {
		masked := notification.MaskedSecret
		w.AuthHeader = &masked
	}
	for _, event := range t.Events {
		w.Events = append(w.Events, string(event))
	}
	if t.Last != nil {
		attempt := wireAttempt(*t.Last)
		w.LastAttempt = &attempt
	}
	return w
}

func wireAttempt(a notification.Attempt) gen.NotificationAttempt {
	return gen.NotificationAttempt{Time: gen.Time{Time: a.Time}, ResponseStatus: a.Status, Error: a.Error}
}
